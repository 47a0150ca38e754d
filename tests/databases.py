"""Which tests are skipped where a database server is missing."""

import pytest

from tools.database_servers import MARIADB, POSTGRESQL

needs_postgresql = pytest.mark.skipif(
    not POSTGRESQL, reason="there is no PostgreSQL: tools/databases.sh installs it"
)
needs_mariadb = pytest.mark.skipif(
    not all(MARIADB), reason="there is no MariaDB: tools/databases.sh installs it"
)
