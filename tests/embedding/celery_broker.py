"""Celery with folders as its broker and for its results, so that no server is needed."""

from pathlib import Path
from time import monotonic_ns
from typing import Any
from uuid import uuid4

from celery import Celery
from kombu.transport import filesystem
from kombu.utils.json import dumps

FOLDER = "PARCOUNT_TEST_FOLDER"
"""The variable that names the folder."""


class Channel(filesystem.Channel):
    """Kombu's, but no process can read a message that another has not written yet."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        unfinished = Path(self.data_folder_out, f"{monotonic_ns()}_{uuid4()}.{queue}.unfinished")
        unfinished.write_text(dumps(payload))
        unfinished.rename(unfinished.with_suffix(".msg"))


class Transport(filesystem.Transport):
    """With these channels."""

    Channel = Channel


def connect(folder: Path) -> Celery:
    """The application of a worker, or of a client, with this folder."""
    for name in ("queue", "results", "control"):
        (folder / name).mkdir(exist_ok=True)
    app = Celery(
        "parcount_test",
        broker="filesystem://",
        broker_transport=f"{__name__}:Transport",
        backend=(folder / "results").as_uri(),
    )
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
