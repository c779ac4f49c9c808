from tests.studies.test_result import study

__all__ = ["study"]
