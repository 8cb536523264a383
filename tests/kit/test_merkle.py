import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kit.merkle import EMPTY, Tree

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The reference vectors of Certificate Transparency."""


def recursive(leaves):
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + recursive(leaves[:split]) + recursive(leaves[split:])).digest()


def grown(leaves, tree=None):
    tree = tree or Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree


def test_the_vectors_of_certificate_transparency_hold():
    leaves = [bytes.fromhex(leaf) for leaf in LEAVES]

    assert [grown(leaves[:size]).root().hex() for size in range(1, 9)] == ROOTS
    assert Tree().root() == EMPTY == hashlib.sha256().digest()


@given(leaves=st.lists(st.binary(max_size=4), max_size=70), cut=st.integers(0, 70))
def test_a_tree_that_grows_on_from_its_edge_is_the_tree_of_all_leaves(leaves, cut):
    first = grown(leaves[:cut])

    again = grown(leaves[cut:], Tree(first.size, first.edge))

    assert again.root() == recursive(leaves)


@pytest.mark.parametrize(("size", "edge"), [(1, []), (0, [b"x"]), (3, [b"x"]), (-1, [])])
def test_an_edge_that_cannot_be_of_that_size_is_refused(size, edge):
    with pytest.raises(ValueError, match="complete subtrees"):
        Tree(size, edge)
