"""What must hold for every deployment, whatever happened to it; each function gives the breaches it found."""

from __future__ import annotations

from pathlib import Path

from .platform_api import Deployment, PlatformApi


def rollouts(api: PlatformApi, deployment: Deployment) -> list[str]:
    """One rollout per successful deployment, none for any other."""
    found = sum(1 for identity, _ in api.deploy_queue if identity == deployment.id)
    wanted = 1 if api.final_posts(deployment.id)[-1:] == ["BUILDED"] else 0
    return [] if found == wanted else [f"{deployment.id}: {found} rollouts, not {wanted}"]


def end(api: PlatformApi, deployment: Deployment) -> list[str]:
    """At most one end, nothing after it, and a failure that says why in one line of the event's size."""
    breaches = []
    statuses = api.statuses(deployment.id)
    finals = api.final_posts(deployment.id)
    if len(finals) > 1 or (finals and statuses[-1] != finals[-1]):
        breaches.append(f"{deployment.id}: statuses {statuses}")
    if "FAILED" in finals:
        message = deployment.events[-1] if deployment.events else ""
        if not message or message == "Deployment failed" or "\n" in message:
            breaches.append(f"{deployment.id}: failed with {message!r}")
    if "CANCELLED" in finals and (deployment.status != "CANCELLED" or not deployment.completed_at):
        breaches.append(f"{deployment.id}: cancelled, yet {deployment.status} {deployment.completed_at}")
    return breaches


def order(deployment: Deployment) -> list[str]:
    """Sorted by time of insertion, as every reader does, the rows are still in their order."""
    times = [at for at, _, _ in deployment.logs]
    return [] if times == sorted(times) else [f"{deployment.id}: rows out of order"]


def whole(api: PlatformApi, deployment: Deployment) -> list[str]:
    """No engine leaves a build that succeeded without the end of its output, but for floods that a test repeats then."""
    cut = "did not end its log" in api.log_text(deployment.id) and api.final_posts(deployment.id)[-1:] == ["BUILDED"]
    return [f"{deployment.id}: the engine's log was cut"] if cut and not deployment.cut_by_the_engine else []


def breaches(api: PlatformApi, deployment: Deployment) -> list[str]:
    return rollouts(api, deployment) + end(api, deployment) + order(deployment) + whole(api, deployment)


def secrets_in(secrets: list[str], texts: dict[str, bytes], folder: Path | None = None) -> list[str]:
    """Where a secret stands in clear: the named texts, and every file below the folder."""
    files = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()} if folder else {}
    return [f"{where} holds {secret!r}" for secret in secrets for where, text in (texts | files).items()
            if secret.encode() in text]
