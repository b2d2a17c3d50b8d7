"""Whole catalogues: `run` on one machine or on Ray, `Remover` for pipelines of your own."""

from .recipe.canvas import Canvas as Canvas
from .recipe.model import Output as Output
from .recipe.model import Recipe as Recipe
from .recipe.recipe_file import read_recipe as read_recipe
from .remover import Remover as Remover
from .result import Landed as Landed
from .run import Watch as Watch
from .run import run as run
from .summary import Summary as Summary
