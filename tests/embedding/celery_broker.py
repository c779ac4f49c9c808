"""Celery with folders as its broker and for its results, so that no server is needed."""

from pathlib import Path

from celery import Celery

FOLDER = "PARCOUNT_TEST_FOLDER"
"""The variable that names the folder."""


def connect(folder: Path) -> Celery:
    """The application of a worker, or of a client, with this folder."""
    for name in ("queue", "results", "control"):
        (folder / name).mkdir(exist_ok=True)
    app = Celery("parcount_test", broker="filesystem://", backend=(folder / "results").as_uri())
    app.conf.update(
        broker_transport_options={
            "data_folder_in": folder / "queue",
            "data_folder_out": folder / "queue",
            "control_folder": folder / "control",
            "polling_interval": 0.02,
        },
        worker_lost_wait=0.1,  # seconds until the task of a killed worker fails
    )
    return app
