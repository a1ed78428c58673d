"""The language `.hap`: text to syntax (`parse`), to a checked spec (`load_spec`), to IR (`build_module`)."""

from hapir.spec.build import build_module, diagnose
from hapir.spec.check import Spec, load_spec, load_spec_text, recipe_passes
from hapir.spec.recipes import RecipeStep

__all__ = ["RecipeStep", "Spec", "build_module", "diagnose", "load_spec", "load_spec_text", "recipe_passes"]
