FUNCTIONS: object
