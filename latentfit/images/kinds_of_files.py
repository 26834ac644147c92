"""Which files are pictures, by ending and by content: those that are read, and those that are only named."""

from pathlib import PurePath

from PIL import features

_AVIF = ("AVIF",) if features.check("avif") else ()  # Pillow has it since 11.3
_JPEG2000 = ("JPEG2000",) if features.check("jpg_2000") else ()
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", *_AVIF, *_JPEG2000, "QOI", "SGI")
"""Pillow's readers that are asked, which tell a file by its content; some others start programs."""

_BY_ENDING = {".tga": "TGA", ".icb": "TGA", ".vda": "TGA", ".vst": "TGA", ".pcx": "PCX", ".dib": "DIB"}
"""Readers of formats whose content hardly tells them."""

ENDINGS = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif", ".ppm",
     ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".qoi", ".sgi",
     *_BY_ENDING}
)  # fmt: skip
"""Of pictures that are read."""

_CAMERA = "a camera's raw file"
UNREAD = {
    ".heic": "a HEIC picture", ".heif": "a HEIC picture", ".hif": "a HEIC picture", ".jxl": "a JPEG XL picture",
    ".jxr": "a JPEG XR picture", ".wdp": "a JPEG XR picture", ".hdp": "a JPEG XR picture", ".bpg": "a BPG picture",
    ".flif": "a FLIF picture", ".psd": "a Photoshop document", ".psb": "a Photoshop document",
    ".xcf": "a GIMP document", ".kra": "a Krita document", ".ora": "an OpenRaster document",
    ".clip": "a Clip Studio document", ".procreate": "a Procreate document", ".pdn": "a Paint.NET document",
    ".aseprite": "an Aseprite document", ".svg": "a drawing of vectors (SVG)", ".svgz": "a drawing of vectors (SVG)",
    ".eps": "a drawing of vectors (PostScript)", ".ai": "a drawing of vectors (Illustrator)",
    ".wmf": "a drawing of vectors (Windows)", ".emf": "a drawing of vectors (Windows)",
    ".exr": "an OpenEXR picture", ".hdr": "a Radiance picture", ".rgbe": "a Radiance picture",
    ".ico": "an icon", ".cur": "a mouse pointer", ".icns": "an icon", ".xbm": "an X bitmap", ".xpm": "an X pixmap",
    ".fits": "a FITS picture", ".dcm": "a DICOM picture", ".dds": "a texture (DDS)",
    ".ktx": "a texture (KTX)", ".ktx2": "a texture (KTX)",
    ".mng": "an animation (MNG)", ".wbmp": "a WBMP picture", ".pict": "a PICT picture", ".ras": "a Sun raster",
    **dict.fromkeys(
        (".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".orf", ".rw2", ".raf", ".pef", ".srw",
         ".x3f", ".3fr", ".iiq", ".erf", ".kdc", ".mrw", ".rwl"),
        _CAMERA,
    ),
}  # fmt: skip
"""What files of other endings are: pictures all the same, which are found, named and counted among the skipped."""


def is_named_as_picture(name: str) -> bool:
    """Whether a file's ending is a picture's, read here or not; hidden files (macOS leaves such) are none."""
    path = PurePath(name)
    return path.name[:1] != "." and path.suffix.lower() in ENDINGS | UNREAD.keys()


def readers_of(name: str) -> tuple[str, ...]:
    """Pillow's readers to ask for a file of this name."""
    own = _BY_ENDING.get(PurePath(name).suffix.lower())
    return FORMATS if own is None else (*FORMATS, own)


def unread_kind(blob: bytes, name: str) -> str | None:
    """What a picture of a format that is not read is, by its first bytes, else by its ending; None: no telling."""
    if blob.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return UNREAD[".jxl"]
    if blob[4:8] == b"ftyp":
        if blob[8:12] == b"crx ":
            return _CAMERA
        return "an AVIF picture" if blob[8:12] in (b"avif", b"avis") else UNREAD[".heic"]
    marks = {b"8BPS": ".psd", b"gimp xcf": ".xcf", b"\x76\x2f\x31\x01": ".exr", b"#?RADIANCE": ".hdr", b"%!PS": ".eps"}
    by_content = next((ending for mark, ending in marks.items() if blob.startswith(mark)), None)
    return UNREAD.get(by_content or PurePath(name).suffix.lower())
