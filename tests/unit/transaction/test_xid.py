"""Names of branches: what a mesh writes it reads again, and what others write it leaves alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dbmesh.transaction.xid import FORMAT, Place, TransactionNames, Xid, read_xid

PLACES = st.builds(Place, st.text(min_size=1), st.integers(1, 65535), st.text(min_size=1))


@given(instance=st.binary(min_size=8, max_size=8), decider=PLACES, own=PLACES)
def test_what_is_written_is_read_again(instance: bytes, decider: Place, own: Place) -> None:
    xid = Xid(TransactionNames(instance).next(), decider.sign, own.sign)
    gtrid, branch, format_id = xid.sql.split(",")
    first, second = gtrid.strip("'").encode(), branch.strip("'").encode()
    assert len(first) <= 64
    assert len(second) <= 64
    assert read_xid(int(format_id), len(first), first + second) == xid


@given(format_id=st.integers(0, 2**31), length=st.integers(0, 64), data=st.binary(max_size=128))
def test_what_others_write_is_nobodys(format_id: int, length: int, data: bytes) -> None:
    xid = read_xid(format_id, length, data)
    assert xid is None or xid.sql == f"'{xid.gtrid}','{xid.decider}-{xid.own}',{FORMAT}"
    assert read_xid(FORMAT + 1, length, data) is None


def test_no_two_transactions_and_no_two_places_have_one_name() -> None:
    names, others = TransactionNames(bytes(8)), TransactionNames(bytes([1] * 8))
    assert len({names.next(), names.next(), others.next()}) == 3
    places = [Place("h", 1, "a"), Place("h", 2, "a"), Place("i", 1, "a"), Place("h", 1, "b")]
    assert len({place.sign for place in places}) == 4
