"""The settings of a site: one TOML file, and every key of it also as an environment variable.

Each part of the program gets only the sections that it needs. A login is not a setting: `adapters.credentials` finds
it. No refusal repeats a value, so none can show a secret that was written in the wrong place.
"""

from xnat_watchd.settings.reading import Settings, load, load_alerts

__all__ = ["Settings", "load", "load_alerts"]
