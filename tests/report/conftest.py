from tests.studies.core.test_result import study

__all__ = ["study"]
