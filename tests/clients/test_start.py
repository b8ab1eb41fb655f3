"""Starting, stopping, and what a start refuses."""

import re
import stat
import subprocess
import urllib.error
import urllib.request

import pytest

from conftest import client_for
from data import content
from harness import WEIR, Gateway

pytestmark = pytest.mark.strict


def run(folder, *arguments, **environment):
    done = subprocess.run(
        [WEIR, *map(str, arguments)], cwd=folder, env={"PATH": "/usr/bin:/bin", **environment},
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30, text=True,
    )
    return done.returncode, done.stdout + done.stderr


def status(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_what_a_first_start_leaves(gateway):
    text = gateway.log.read_text()
    for line in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "boto3", "rclone"):
        assert line in text
    private = [path for path in (gateway.folder / "weir-data").iterdir() if "credential" in path.name]
    assert private and all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in private)


def test_admin_needs_the_token(gateway, site):
    for path in ("/healthz", "/readyz", "/metrics"):
        assert status(gateway.admin + path)[0] == 200
    for path in ("/v1/status", "/v1/policies", "/v1/explain?bucket=a&key=b"):
        for token in (None, "", "wrong", site.secret_key, site.access_key):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            code, text = status(gateway.admin + path, **headers)
            assert code in (401, 403)
            assert gateway.admin_token not in text and site.secret_key not in text
    code, text = status(gateway.admin + "/v1/status", Authorization=f"Bearer {gateway.admin_token}")
    assert code == 200 and site.secret_key not in text


def test_secrets_are_not_logged(gateway, s3, bucket, site):
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    status(url)
    log = gateway.log.read_text()
    signature = re.search(r"Signature=([^&]+)", url).group(1)
    assert signature not in log
    assert log.count(site.secret_key) == len(re.findall(rf"^.*{site.secret_key}.*$", gateway_greeting(log), re.M))


def gateway_greeting(log):
    """What a start prints on purpose."""
    return "\n".join(line for line in log.splitlines() if line.startswith(("export ", "#")))


def test_it_comes_back_with_everything(tmp_path):
    """SIGTERM drains and ends well; the next start knows keys and objects."""
    gateway = Gateway(tmp_path / "site").start()
    s3 = client_for(gateway.site)
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="k", Body=content(100_000))
    site, token = gateway.site, gateway.admin_token
    assert gateway.stop() == 0
    gateway.start(site)
    try:
        s3 = client_for(site)
        assert s3.get_object(Bucket="kept", Key="k")["Body"].read() == content(100_000)
        assert status(gateway.admin + "/v1/status", Authorization=f"Bearer {token}")[0] == 200
    finally:
        gateway.stop()


def test_a_second_process_on_the_same_index(gateway):
    code, text = run(
        gateway.folder, WEIR_S3__LISTEN='["127.0.0.1:0"]', WEIR_ADMIN__LISTEN="127.0.0.1:0", HOME="/nonexistent"
    )
    assert code != 0 and text
    assert status(gateway.admin + "/healthz")[0] == 200


CONFIG = """
[s3]
listen = ["{s3}"]
[admin]
listen = "127.0.0.1:0"
[backends.disk]
kind = "fs"
path = "disk"
[credentials.app]
access_key_id = "APPKEY"
secret_file = "secret"
grants = [{{ buckets = ["*"], actions = ["all"] }}]
[placement]
factor = 1
"""


@pytest.mark.parametrize("secret", ["", "minioadmin", "password", "short"])
def test_weak_credentials_beyond_loopback(tmp_path, secret):
    (tmp_path / "weir.toml").write_text(CONFIG.format(s3="0.0.0.0:0"))
    (tmp_path / "secret").write_text(secret)
    (tmp_path / "secret").chmod(0o600)
    code, text = run(tmp_path, "serve", "--config", "weir.toml")
    assert code != 0 and "secret" in text.lower()


def test_world_readable_credentials_beyond_loopback(tmp_path):
    (tmp_path / "weir.toml").write_text(CONFIG.format(s3="0.0.0.0:0"))
    (tmp_path / "secret").write_text("a-long-and-well-chosen-secret")
    (tmp_path / "secret").chmod(0o644)
    code, text = run(tmp_path, "serve", "--config", "weir.toml")
    assert code != 0 and "secret" in text


def test_check_reports_every_mistake_at_once(tmp_path):
    (tmp_path / "weir.toml").write_text(
        '[s3]\nlisten = ["nonsense"]\nregoin = "x"\n\n[backends.disk]\nkind = "tape"\n\n[limits]\nput_bytes_max = -1\n'
    )
    code, text = run(tmp_path, "check", "--config", "weir.toml")
    assert code != 0
    for line, word in ((2, "nonsense"), (3, "region"), (6, "fs"), (9, "put_bytes_max")):
        assert re.search(rf"weir\.toml:{line}\b", text) and word in text, text


def test_a_good_configuration_passes_the_check(tmp_path):
    (tmp_path / "weir.toml").write_text(CONFIG.format(s3="127.0.0.1:0"))
    (tmp_path / "secret").write_text("a-long-and-well-chosen-secret")
    (tmp_path / "secret").chmod(0o600)
    code, text = run(tmp_path, "check", "--config", "weir.toml")
    assert code == 0, text
