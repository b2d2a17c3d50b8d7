"""Whole catalogues: `run` on one machine or on Ray, `Remover` for pipelines of your own."""

from .landed import Landed as Landed
from .recipe import Canvas as Canvas
from .recipe import Output as Output
from .recipe import Recipe as Recipe
from .recipe_file import read_recipe as read_recipe
from .remover import Remover as Remover
from .running import Watch as Watch
from .running import run as run
from .summary import Summary as Summary
