"""One file per command of the protocol; this is the table of them. `session.session.Handler` says what a handler is."""

from __future__ import annotations

from collections.abc import Mapping

from dbmesh.session.commands.debug import debug
from dbmesh.session.commands.field_list import field_list
from dbmesh.session.commands.init_db import init_db
from dbmesh.session.commands.ping import ping
from dbmesh.session.commands.process_kill import process_kill
from dbmesh.session.commands.query import query
from dbmesh.session.commands.quit import quit_
from dbmesh.session.commands.refresh import refresh
from dbmesh.session.commands.reset_connection import reset_connection
from dbmesh.session.commands.set_option import set_option
from dbmesh.session.commands.statistics import statistics
from dbmesh.session.commands.stmt_bulk_execute import stmt_bulk_execute
from dbmesh.session.commands.stmt_close import stmt_close
from dbmesh.session.commands.stmt_execute import stmt_execute
from dbmesh.session.commands.stmt_fetch import stmt_fetch
from dbmesh.session.commands.stmt_prepare import stmt_prepare
from dbmesh.session.commands.stmt_reset import stmt_reset
from dbmesh.session.commands.stmt_send_long_data import stmt_send_long_data
from dbmesh.session.session import Handler
from dbmesh.wire.constants import Command

COMMANDS: Mapping[int, Handler] = {
    Command.QUERY.value: query,
    Command.STMT_EXECUTE.value: stmt_execute,
    Command.STMT_BULK_EXECUTE.value: stmt_bulk_execute,
    Command.STMT_PREPARE.value: stmt_prepare,
    Command.STMT_CLOSE.value: stmt_close,
    Command.STMT_RESET.value: stmt_reset,
    Command.STMT_SEND_LONG_DATA.value: stmt_send_long_data,
    Command.STMT_FETCH.value: stmt_fetch,
    Command.INIT_DB.value: init_db,
    Command.FIELD_LIST.value: field_list,
    Command.REFRESH.value: refresh,
    Command.DEBUG.value: debug,
    Command.PING.value: ping,
    Command.STATISTICS.value: statistics,
    Command.SET_OPTION.value: set_option,
    Command.PROCESS_KILL.value: process_kill,
    Command.RESET_CONNECTION.value: reset_connection,
    Command.QUIT.value: quit_,
}
