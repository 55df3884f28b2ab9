"""A service that carries ZIPs of DICOM from a folder into XNAT and proves that they arrived."""

__version__ = "0.2.0"
