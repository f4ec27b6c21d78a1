"""``tomoe watch``: films are reduced as they arrive, by night and unattended.

=======================================  ================
question                                 file
=======================================  ================
what happens in which order?             ``loop.py``
which files are new?                     ``listing.py``
which films are whole?                   ``arrivals.py``
which film is next?                      ``backlog.py``
in which processes?                      ``crew.py``
who is told?                             ``report.py``
… line by line                           ``log.py``
… how many and how fast                  ``tally.py``
… is it well?                            ``health.py``
… Prometheus                             ``metrics.py``
… a chat channel, failures grouped       ``webhook.py``, ``alerts.py``
=======================================  ================
"""

from tomoe_explore.operations.watch.health import check_health
from tomoe_explore.operations.watch.log import Log
from tomoe_explore.operations.watch.loop import Settings, watch
from tomoe_explore.operations.watch.metrics import Metrics
from tomoe_explore.operations.watch.report import Report
from tomoe_explore.operations.watch.tally import Tally
from tomoe_explore.operations.watch.webhook import Webhook

__all__ = ["Log", "Metrics", "Report", "Settings", "Tally", "Webhook", "check_health", "watch"]
