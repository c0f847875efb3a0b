"""Read by Jupyter, which gives it `get_config`."""

from course_utils.commands import saving

get_config().FileContentsManager.pre_save_hook = saving.clean  # noqa: F821
