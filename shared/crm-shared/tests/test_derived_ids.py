"""Derived ids: the same parts give the same id, as a UUID and as text."""

from uuid import uuid5

from hypothesis import given
from hypothesis import strategies as st

from crm_contracts.ids import RELATA_NAMESPACE, derived_id_text
from crm_shared.domain import derived_id


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=4))
def test_a_derived_id_is_the_version_5_uuid_of_its_length_prefixed_parts(parts: list[str]) -> None:
    # when an id is derived from any parts, in both forms
    derived = derived_id(*parts)

    # then it is the standard one
    assert derived == uuid5(RELATA_NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts))
    assert derived_id_text(*parts) == str(derived)
