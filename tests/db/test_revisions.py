from alembic.script import ScriptDirectory

from controlplane.db.revisions import MIGRATIONS, newest


def test_the_newest_revision_is_the_one_that_migrations_end_with():
    assert newest() == ScriptDirectory(MIGRATIONS).get_current_head()
