"""Scripts that run with the modules of the checkout that is measured, and import nothing of this package."""
