"""Makes the class archive of the Connect server: starts it as an environment does, sends it real requests, stops it.

The requests are sent with the generated protocol classes alone (no pandas, no pyarrow), which is all a build needs.
S3A writes to and reads from a stand-in for object storage, so that its classes are in the archive too.
"""

import importlib.machinery
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import types
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "train"  # noqa: S105 - lives only during the build
SPARK = pathlib.Path("/opt/spark")
STATEMENTS = (
    "SELECT count(*) FROM range(1000)",
    "CREATE OR REPLACE TEMP VIEW t AS SELECT id, id % 7 AS k, cast(id AS string) AS s FROM range(1000)",
    "SELECT a.k, count(*) n, sum(a.id) FROM t a JOIN t b ON a.id = b.id WHERE a.s LIKE '1%' GROUP BY a.k ORDER BY n",
    "CREATE TABLE local_t USING parquet LOCATION '/tmp/train/local' AS SELECT * FROM t",
    "SELECT count(*), max(s) FROM parquet.`/tmp/train/local`",
    "INSERT OVERWRITE DIRECTORY 's3a://train/data' USING parquet SELECT * FROM t",
    "SELECT count(*), max(s) FROM parquet.`s3a://train/data`",
    "INSERT OVERWRITE DIRECTORY 's3a://train/csv' USING csv SELECT id, s FROM t",
    "SELECT count(*) FROM csv.`s3a://train/csv`",
    "INSERT OVERWRITE DIRECTORY 's3a://train/json' USING json SELECT id, s FROM t",
    "SELECT count(*) FROM json.`s3a://train/json`",
    "CREATE TABLE remote_t (id bigint, k bigint, s string) USING parquet LOCATION 's3a://train/data'",
    "CREATE OR REPLACE VIEW both_t AS SELECT 1 AS n, id, CAST(k AS decimal(18, 3)) AS k, s FROM remote_t "
    "UNION ALL SELECT 2, id, CAST(k AS decimal(18, 3)), s FROM local_t",
    "SELECT n, count(*) FROM both_t GROUP BY n",
    "DESCRIBE TABLE EXTENDED remote_t",
    "DESCRIBE TABLE EXTENDED both_t",
    "SHOW TABLES",
    "DROP VIEW IF EXISTS both_t",
    "DROP TABLE IF EXISTS remote_t",
)


class Storage(BaseHTTPRequestHandler):
    """As much of the S3 protocol as S3A needs, in memory."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes] = {}

    def log_message(self, *_: object) -> None:
        """Keep the build log short."""

    def body(self) -> bytes:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" not in self.headers.get("Content-Encoding", "") and not self.headers.get(
            "x-amz-content-sha256", ""
        ).startswith("STREAMING"):
            return raw
        out, rest = b"", raw
        while rest:
            head, _, rest = rest.partition(b"\r\n")
            size = int(head.split(b";")[0], 16)
            if size == 0:
                break
            out, rest = out + rest[:size], rest[size + 2 :]
        return out

    def reply(self, status: int, data: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def listing(self, query: dict[str, list[str]]) -> bytes:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        keys, folders = [], set()
        for key in sorted(self.objects):
            rest = key[len(prefix) :]
            if not key.startswith(prefix):
                continue
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
            else:
                keys.append(key)
        entries = "".join(
            f"<Contents><Key>{k}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
            f"<Size>{len(self.objects[k])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for k in keys
        )
        entries += "".join(f"<CommonPrefixes><Prefix>{f}</Prefix></CommonPrefixes>" for f in sorted(folders))
        return (
            f'<?xml version="1.0"?><ListBucketResult><Name>train</Name><Prefix>{prefix}</Prefix>'
            f"<KeyCount>{len(keys) + len(folders)}</KeyCount><MaxKeys>1000</MaxKeys>"
            f"<IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
        ).encode()

    def handle_request(self) -> None:
        url = urlsplit(self.path)
        key = unquote(url.path).lstrip("/").partition("/")[2]
        query, data = parse_qs(url.query, keep_blank_values=True), self.body()
        stamp = {"ETag": '"e"', "Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        if self.command == "PUT":
            source = unquote(self.headers.get("x-amz-copy-source", "")).lstrip("/").partition("/")[2]
            self.objects[key] = self.objects.get(source, data) if source else data
            copied = b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>" if source else b""
            self.reply(200, copied, ETag='"e"')
        elif self.command == "DELETE":
            self.objects.pop(key, None)
            self.reply(204)
        elif self.command == "POST" and "delete" in query:
            for part in data.decode().split("<Key>")[1:]:
                self.objects.pop(part.split("</Key>")[0], None)
            self.reply(200, b"<DeleteResult></DeleteResult>")
        elif not key and self.command == "GET":
            self.reply(200, self.listing(query), Content_Type="application/xml")
        elif not key:
            self.reply(200)
        elif key not in self.objects:
            self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            whole = self.objects[key]
            first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
            part = whole[int(first or 0) : int(last) + 1 if last else None]
            ranged = {"Content_Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(whole)}"} if first else {}
            self.reply(206 if first else 200, part, Content_Length=str(len(part)), **stamp, **ranged)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_request  # noqa: N815 - names of the base class


def protocol() -> types.ModuleType:
    """The generated classes of pyspark's Connect client, without importing the rest of pyspark."""
    sys.path[:0] = ["/train/lib"]
    for name in ("pyspark", "pyspark.sql", "pyspark.sql.connect", "pyspark.sql.connect.proto"):
        module = types.ModuleType(name)
        module.__path__ = [str(SPARK / "python" / name.replace(".", "/"))]
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        sys.modules[name] = module
    from pyspark.sql.connect.proto import base_pb2_grpc

    return base_pb2_grpc


def exercise(address: str) -> None:
    stub_module = protocol()
    import grpc
    from pyspark.sql.connect.proto import base_pb2, commands_pb2

    channel = grpc.secure_channel(
        address,
        grpc.composite_channel_credentials(grpc.local_channel_credentials(), grpc.access_token_call_credentials(TOKEN)),
    )
    stub = stub_module.SparkConnectServiceStub(channel)
    session = {"session_id": str(uuid.uuid4()), "user_context": base_pb2.UserContext(user_id="train")}
    version = base_pb2.AnalyzePlanRequest.SparkVersion()
    answer = stub.AnalyzePlan(base_pb2.AnalyzePlanRequest(spark_version=version, **session), timeout=120)
    print("answered as Spark", answer.spark_version.version, flush=True)
    look_for_nothing(stub, session)
    count = base_pb2.Plan()
    count.root.common.plan_id = 1
    count.root.aggregate.group_type = 1
    count.root.aggregate.input.range.end = 10
    count.root.aggregate.input.range.step = 1
    call = count.root.aggregate.aggregate_expressions.add().unresolved_function
    call.function_name = "count"
    call.arguments.add().literal.integer = 1
    plans = [count]
    plans += [base_pb2.Plan(command=commands_pb2.Command(sql_command=commands_pb2.SqlCommand(sql=s))) for s in STATEMENTS]
    for plan in plans:
        request = base_pb2.ExecutePlanRequest(plan=plan, **session)
        request.operation_id = str(uuid.uuid4())
        request.request_options.add().reattach_options.reattachable = True
        for response in stub.ExecutePlan(request, timeout=120):
            if response.HasField("sql_command_result") and response.sql_command_result.relation.WhichOneof("rel_type"):
                relation = response.sql_command_result.relation
                if not relation.HasField("local_relation"):
                    list(stub.ExecutePlan(base_pb2.ExecutePlanRequest(plan=base_pb2.Plan(root=relation), **session)))
    stub.ReleaseSession(base_pb2.ReleaseSessionRequest(**session))
    channel.close()


def look_for_nothing(stub: object, session: dict[str, object]) -> None:
    """Ask for a table that is not there, as whoever wants to make it does first."""
    import grpc
    from pyspark.sql.connect.proto import base_pb2

    nothing = base_pb2.Plan()
    nothing.root.sql.query = "SELECT * FROM `nothing`"
    schema = base_pb2.AnalyzePlanRequest.Schema(plan=nothing)
    try:
        stub.AnalyzePlan(base_pb2.AnalyzePlanRequest(schema=schema, **session), timeout=120)
    except grpc.RpcError:
        return
    raise SystemExit("A table is there that nobody made.")


def listening(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("localhost", port)) == 0:
                return
        threading.Event().wait(0.2)
    raise SystemExit("The Connect server ended before it listened.")


def main() -> None:
    storage = ThreadingHTTPServer(("127.0.0.1", 9000), Storage)
    threading.Thread(target=storage.serve_forever, daemon=True).start()
    s3a = {
        "endpoint": "http://127.0.0.1:9000",
        "endpoint.region": "us-east-1",
        "path.style.access": "true",
        "access.key": "train",
        "secret.key": "train",
    }
    options = [part for k, v in s3a.items() for part in ("--conf", f"spark.hadoop.fs.s3a.{k}={v}")]
    log = pathlib.Path("/tmp/train.log")  # noqa: S108 - a build has /tmp to itself
    server = subprocess.Popen(
        [
            SPARK / "bin/spark-submit", "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
            "--name", "train", "--master", "local[2]", "--conf", "spark.ui.enabled=false", *options,
        ],
        env={
            **os.environ,
            "SPARK_CONNECT_AUTHENTICATE_TOKEN": TOKEN,
            "JVM_ARCHIVE_OPTS": "-XX:ArchiveClassesAtExit=/archive/spark.jsa -Xlog:cds*=error",
        },
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        listening(15002, server)
        exercise("localhost:15002")
    except BaseException:
        sys.stderr.write(log.read_text()[-20_000:])
        raise
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(120)
    storage.shutdown()
    log.unlink()
    for leftover in ("/tmp/train", "/opt/spark/work-dir/spark-warehouse"):
        shutil.rmtree(leftover, ignore_errors=True)


if __name__ == "__main__":
    main()
