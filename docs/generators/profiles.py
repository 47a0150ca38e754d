"""Documents the profiles of the project in Markdown, from their files."""

from __future__ import annotations

from pipeline.config import profile


def markdown() -> str:
    """Returns a section for each profile: its comments as text, then its settings as TOML."""
    parts = []
    for name in profile.profile_names():
        text = (profile.PROFILES / f"{name}.toml").read_text(encoding="utf-8").strip()
        lines = text.splitlines()
        comments = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
        settings = "\n".join(line for line in lines if not line.startswith("#"))
        block = f"\n\n```toml\n{settings}\n```" if settings else ""
        parts.append(f"## {name}\n\n" + " ".join(comments) + block + "\n")
    return "\n".join(parts)
