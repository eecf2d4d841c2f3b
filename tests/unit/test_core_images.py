"""No step opens an image outside the cache, whatever a table says."""

import pytest

from winnow.core.errors import WinnowError
from winnow.core.images import image_file, image_path

SHA = "ab" + "0" * 62


@pytest.fixture
def root(tmp_path):
    file = tmp_path / "checkout" / image_path(SHA)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"an image")
    return tmp_path / "checkout"


def test_an_image_of_the_cache_is_found(root):
    assert image_file(f"cache/images/ab/{SHA}.png", root).read_bytes() == b"an image"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../secret.png",
        f"cache/images/../../{SHA}.png",
        f"cache/images/ab/../ab/{SHA}.png",
        f"/cache/images/ab/{SHA}.png",
        f"cache/images/cd/{SHA}.png",
        f"cache/images/ab/{SHA}.png\n",
        f"cache/images/ab/{SHA}.pkl",
        f"cache\\images\\ab\\{SHA}.png",
    ],
)
def test_a_path_that_is_none_of_the_cache_is_refused(root, path):
    with pytest.raises(WinnowError, match="is no image of cache/images"):
        image_file(path, root)


def test_a_link_that_leads_out_of_the_cache_is_refused(root, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"elsewhere")
    file = root / image_path(SHA)
    file.unlink()
    file.symlink_to(secret)
    with pytest.raises(WinnowError, match="a link to a file outside"):
        image_file(image_path(SHA), root)


def test_a_deleted_image_names_what_makes_it_again(root):
    (root / image_path(SHA)).unlink()
    with pytest.raises(WinnowError, match="--forcerun draw_images"):
        image_file(image_path(SHA), root)
