"""Classes and functions of a real notebook, whose kernel has no file that workers could import."""

from __future__ import annotations

import pytest

from tests.remote import TIME_LIMIT

CELLS = [
    """
from dataclasses import dataclass
import numpy as np
import parcount as pc

@dataclass
class Account:
    name: str
    balance: int = 0

    def paid(self, amount):
        if self.balance + amount < 0:
            raise Overdrawn(self, amount)
        return Account(self.name, self.balance + amount)

class Overdrawn(Exception):
    def __init__(self, account, amount):
        super().__init__(f"{account.name} has {account.balance}")
        self.account = account
        self.amount = amount

counts = pc.shared_array(2, np.int64)

def pay(item):
    counts[item["position"]] += 1
    return [item["account"].paid(amount) for amount in item["amounts"]]
""",
    """
pool = pc.Processes(2)
items = [dict(account=Account(name), amounts=[1, 2], position=i) for i, name in enumerate("ab")]
paid = pool.map(pay, items)
print(paid == [[Account("a", 1), Account("a", 2)], [Account("b", 1), Account("b", 2)]])
print(all(isinstance(one, Account) for ones in paid for one in ones), counts)
""",
    """
try:
    pool.map(pay, [dict(account=Account("c"), amounts=[-1], position=0)])
except Overdrawn as error:
    print(error, error.amount, isinstance(error.account, Account), "in paid" in str(error.__cause__))
""",
    # A cell is changed and run again, while the workers go on.
    """
def discount(account):
    return account.paid(bonus).balance

bonus = 10
with pool:
    print(pool.map(discount, paid[0]))
    class Account(Account):
        def paid(self, amount):
            return Account(self.name, amount * 100)
    print(pool.map(discount, [Account("d")]), pool.submit(discount, Account("d")).result())
""",
    """
import threading
try:
    pool.map(pay, [dict(account=Account("e", threading.Lock()), amounts=[], position=0)])
except TypeError as error:
    print(error)
""",
]

PRINTED = [
    "",
    "True\nTrue [1 1]\n",
    "c has 0 -1 True True\n",
    "[11, 12]\n[1000] 1000\n",
    (
        "item 0: ['account'].balance, a _thread.lock, cannot be sent to a worker: cannot pickle '_thread.lock' object. "
        "Threads do not pickle.\n"
    ),
]


def test_a_real_notebook() -> None:
    pytest.importorskip("cloudpickle")
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    nbclient.NotebookClient(book, timeout=TIME_LIMIT, kernel_name="python3").execute()
    assert ["".join(output.text for output in cell.outputs) for cell in book.cells] == PRINTED
