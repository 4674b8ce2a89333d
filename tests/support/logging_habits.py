"""What applications do to logging, stdout and stderr: statements by name.

After one of SILENCING, the server of the first version lost its own events. `FIRST_VERSION` is a
program with the logging of that version. OTHERS did no harm there.
"""

CONFIGURE = """
import logging.config
logging.config.dictConfig({
    "version": 1,
    "formatters": {"plain": {"format": "%(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"level": "INFO", "handlers": ["console"]},
})
"""
CONFIGURE_FILE = """
import io, logging.config
logging.config.fileConfig(io.StringIO('''
[loggers]
keys=root
[handlers]
keys=console
[formatters]
keys=
[logger_root]
level=INFO
handlers=console
[handler_console]
class=StreamHandler
args=(sys.stderr,)
'''))
"""
SILENCING = {
    "dictConfig": CONFIGURE,
    "fileConfig": CONFIGURE_FILE,
    "disable": "logging.disable(logging.CRITICAL)",
    "a level of the root": "logging.getLogger('predict').setLevel(logging.CRITICAL + 1)",
    "all loggers disabled": (
        "for logger in list(logging.root.manager.loggerDict.values()): logger.disabled = True"
    ),
    "no propagation": (
        "for logger in list(logging.root.manager.loggerDict.values()):\n"
        "    logger.propagate = False; logger.handlers = [logging.NullHandler()]"
    ),
    "a null handler": "logging.basicConfig(handlers=[logging.NullHandler()], force=True)",
    "a file handler": "logging.basicConfig(filename='own.log', force=True)",
    "a filter": "logging.root.handlers[0].addFilter(lambda record: False)",
    "a level of the handler": "logging.root.handlers[0].setLevel(logging.CRITICAL + 1)",
    "stderr in memory": "sys.stdout = sys.stderr = io.StringIO()",
    "no stdout and stderr": "sys.stdout = sys.stderr = None",
    "closed stdout and stderr": "sys.stdout.close(); sys.stderr.close()",
    "closed descriptors": "os.close(1); os.close(2)",
    "descriptors to /dev/null": (
        "null = os.open(os.devnull, os.O_WRONLY); os.dup2(null, 1); os.dup2(null, 2)"
    ),
    "another method": "logging.Logger.handle = lambda self, record: None",
    "a broken record": "logging.setLogRecordFactory(lambda *values, **more: None)",
}
OTHERS = {
    "basicConfig": "logging.basicConfig(level=logging.DEBUG, force=True)",
    "no handlers": "logging.root.handlers.clear()",
    "shutdown": "logging.shutdown()",
    "warnings as errors": "warnings.simplefilter('error')",
    "warnings ignored": "warnings.simplefilter('ignore')",
    "another logger class": (
        "logging.setLoggerClass(type('Own', (logging.Logger,), {'handle': print}))"
    ),
    "names of levels": "logging.addLevelName(logging.ERROR, 'BAD')",
    "redirected stdout": "contextlib.redirect_stdout(io.StringIO()).__enter__()",
}
HABITS = {**SILENCING, **OTHERS}
IMPORTS = "import contextlib, io, logging, os, sys, warnings\n"
FIRST_VERSION = f"""{IMPORTS}
class StandardStreams(logging.StreamHandler):
    def emit(self, record):
        self.stream = sys.stdout if record.levelno <= logging.INFO else sys.stderr
        super().emit(record)

LOGGER = logging.getLogger("predict")
LOGGER.setLevel(logging.INFO)
logging.basicConfig(handlers=[StandardStreams()], force=True)
%s
LOGGER.error("a failure")
"""
