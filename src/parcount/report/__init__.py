"""Studies for people: a table and a progress bar in the terminal, and a plot.

Each question has a folder of its name with two modules: ``table``, whose ``show(study, console)`` prints what stands
above the verdict, and ``plot``, whose ``draw(study)`` gives the figure. Only this loads the libraries that they need.
"""
