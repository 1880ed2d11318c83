"""serve_swift.py FOLDER NAME

Runs one Swift server (account, container, object or proxy) by FOLDER/NAME-server.conf, in the foreground.

Swift's own commands read /etc/swift/swift.conf, whatever the settings file says; here it is FOLDER/swift.conf, so that
several Swifts can run on one machine and none touches /etc.
"""
import os
import sys

from swift.common import storage_policy, utils

folder, name = sys.argv[1:]
utils.set_swift_dir(folder)
# The policies were read from /etc/swift while the module was imported.
storage_policy.reload_storage_policies()

from swift.common.wsgi import run_wsgi  # noqa: E402 (it has to see the folder)

options = {}
if name == "object":
    from swift.obj.server import global_conf_callback

    options["global_conf_callback"] = global_conf_callback  # Limits that the server's processes share.

settings = os.path.join(folder, f"{name}-server.conf")
sys.exit(run_wsgi(settings, f"{name}-server", default_port=0, log_to_console=True, verbose=True, **options))
