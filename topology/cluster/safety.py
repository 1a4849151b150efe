"""Whether a cluster keeps what it acknowledged when a broker is lost.

Owns: how many copies topics should have on so many brokers, and what to set.
"""

from connectors.kafka.link import Link
from connectors.kafka.topics import Found
from topology.cluster.places import named, topic_plans
from topology.settings import Settings
from topology.stages import build_stages

_COPIES = 3
"""Copies that bear the loss of a broker while another is restarted."""


def too_few_copies(settings: Settings, link: Link, found: Found) -> str:
    """What is wrong with the copies of this installation's topics, and what to do; nothing where all is well.

    A cluster of one broker has no others to copy to.
    """
    wanted = min(_COPIES, found.brokers)
    if wanted < 2:
        return ""
    names = [plan.name for plan in named(link, topic_plans(build_stages(settings), settings.partitions))]
    thin = [name for name in names if found.copies.get(name, wanted) < wanted]
    is_set = settings.replicas >= wanted and settings.in_sync_replicas_min >= wanted - 1
    if is_set and not thin:
        return ""
    told = f"settings replicas {settings.replicas} and in_sync_replicas_min {settings.in_sync_replicas_min}"
    remedy = ""
    if thin:
        told = f"{len(thin)} of {len(names)} with {min(found.copies[name] for name in thin)} ({told})"
        remedy = "; those that are there keep their copies until they are given more"
    return (
        f"expected {wanted} copies of each topic on {found.brokers} brokers, {wanted - 1} of them in sync, found {told}: "
        "where a broker with the only copy is lost, what was acknowledged is lost with it; set "
        f"replicas = {wanted} and in_sync_replicas_min = {wanted - 1} for new topics{remedy} (docs/operating/few-copies.md)"
    )
