"""ZIPs of DICOM as they stream by: what a member is, which study it belongs to, and a clean ZIP of what is sent."""
