"""Inline expressions: the Groovy subset of ShardingSphere's rules on a small safe evaluator. `template` is its face."""

from dbmesh.rules.inline.errors import InlineError
from dbmesh.rules.inline.template import Template, compile_template, expand, parse_template

__all__ = ["InlineError", "Template", "compile_template", "expand", "parse_template"]
