"""Whether this machine lets us have network namespaces; a part of the tests is skipped loudly where it does not."""
import os
import subprocess


def refusal():
    """Why `scripts/cluster up --netns` cannot work here, or None."""
    if os.geteuid() != 0:
        return "network namespaces take root"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    tried = subprocess.run(["unshare", "--net", "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return None if tried.returncode == 0 else f"unshare --net: {tried.stderr.strip()}"
