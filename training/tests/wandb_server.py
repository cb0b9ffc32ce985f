"""A local stand-in for Weights & Biases, for its own client: the GraphQL that a run, an artifact and a link need.

Written from the queries that the client sends (github.com/wandb/wandb, core/api/graphql and wandb/sdk/artifacts). It
keeps what it is sent in memory, and gives it back.
"""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "0123456789abcdef" * 2 + "01234567"
ORGANISATION, ORGANISATION_ENTITY, TEAM = "acme", "acme-org", "team"

_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
FEATURES = ("ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE",)


@dataclass
class Artifact:
    """One version of a logged artifact."""

    id: str
    collection: str
    project: str
    index: int
    digest: str
    metadata: str
    description: str
    state: str = "PENDING"
    manifest: str = ""  # the path of its file


@dataclass
class Link:
    """One version of a registered model: which artifact it is, and its aliases there."""

    index: int
    artifact: Artifact
    aliases: set[str] = field(default_factory=set)


class Wandb:
    """What the server knows. One lock: requests come from several threads."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}  # by path
        self.artifacts: dict[str, Artifact] = {}
        self.links: dict[tuple[str, str], list[Link]] = {}  # by project and collection
        self.runs: dict[str, dict] = {}
        self.history: dict[str, dict[int, dict]] = {}  # by run: line number and line
        self.unknown: list[str] = []  # operations that it has no answer for
        self.lock = threading.Lock()

    def answer(self, operation: str, variables: dict, address: str) -> dict:
        method = getattr(self, _CAPITAL.sub("_", operation).lower(), None)
        if method is None:
            self.unknown.append(operation)
            return {}
        with self.lock:
            return method(variables, address)

    def stream(self, path: str, body: bytes) -> None:
        """Takes lines of a run's history; they are numbered, so what is sent twice is there once."""
        run = re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", path)
        part = json.loads(body).get("files", {}).get("wandb-history.jsonl") if run else None
        if part:
            lines = {number: json.loads(line) for number, line in enumerate(part["content"], part["offset"])}
            with self.lock:
                self.history.setdefault(run[1], {}).update(lines)

    def run_resume_status(self, variables: dict, _) -> dict:
        run, lines = self.runs.get(variables["name"]), self.history.get(variables["name"], {})
        if run is None:
            return {"model": None}
        counts = {"historyLineCount": len(lines), "logLineCount": 0, "eventsLineCount": 0}
        tails = {"historyTail": json.dumps([json.dumps(lines[max(lines)])] if lines else []), "eventsTail": "[]"}
        bucket = {"id": "bucket", "name": run["name"], "displayName": run.get("displayName"), "tags": [], "notes": None}
        words = {"config": run.get("config") or "{}", "summaryMetrics": "{}", "wandbConfig": '{"t": 1}'}
        entity = {"id": "entity", "name": TEAM}
        return {
            "model": {
                "id": "project",
                "name": run["project"],
                "entity": entity,
                "bucket": bucket | counts | tails | words,
            }
        }

    def viewer(self, *_) -> dict:
        teams = {"edges": [{"node": {"name": TEAM}}]}
        viewer = {
            "id": "user",
            "entity": TEAM,
            "username": "me",
            "email": "me@example.org",
            "flags": "{}",
            "teams": teams,
        }
        return {"viewer": viewer}

    get_default_entity = viewer

    def server_features_query(self, *_) -> dict:
        features = [{"name": name, "isEnabled": True} for name in FEATURES]
        return {"serverInfo": {"features": features}}

    def fetch_org_info_from_entity(self, *_) -> dict:
        organisation = {"name": ORGANISATION, "orgEntity": {"name": ORGANISATION_ENTITY}}
        return {"entity": {"organization": organisation, "user": None}}

    def upsert_bucket(self, variables: dict, _) -> dict:
        run = self.runs.setdefault(variables["name"], {})
        run.update({key: value for key, value in variables.items() if value is not None})
        entity = {"id": "entity", "name": TEAM}
        bucket = {
            "id": "bucket",
            "name": run["name"],
            "displayName": run.get("displayName"),
            "config": run.get("config", "{}"),
            "historyLineCount": 0,
            "project": {"id": "project", "name": run["project"], "entity": entity},
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def create_run_files(self, variables: dict, address: str) -> dict:
        files = [{"name": name, "uploadUrl": f"{address}/storage/run/{name}"} for name in variables["files"]]
        return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}

    def artifact_type(self, *_) -> dict:
        return {"project": {"artifact": None}}

    def create_artifact(self, variables: dict, _) -> dict:
        given = variables["input"]
        collection, project = given["artifactCollectionName"], given["projectName"]
        versions = [a for a in self.artifacts.values() if (a.collection, a.project) == (collection, project)]
        same = [a for a in versions if a.digest == given["digest"]]  # W&B knows the same files again
        if same:
            artifact = same[0]
        else:
            artifact = Artifact(
                id=base64.b64encode(f"Artifact:{len(self.artifacts)}".encode()).decode(),
                collection=collection,
                project=project,
                index=len(versions),
                digest=given["digest"],
                metadata=given["metadata"],
                description=given["description"],
            )
            self.artifacts[artifact.id] = artifact
        latest = {"latestArtifact": {"id": versions[-1].id} if versions else None}
        return {
            "createArtifact": {"artifact": {"id": artifact.id, "state": artifact.state, "artifactSequence": latest}}
        }

    def create_artifact_manifest(self, variables: dict, address: str) -> dict:
        return {"createArtifactManifest": {"artifactManifest": self._manifest(variables["artifactID"], address)}}

    def update_artifact_manifest(self, variables: dict, address: str) -> dict:
        artifact = variables["artifactManifestID"].removeprefix("manifest-")
        return {"updateArtifactManifest": {"artifactManifest": self._manifest(artifact, address)}}

    def _manifest(self, artifact: str, address: str) -> dict:
        self.artifacts[artifact].manifest = f"/storage/manifest/{artifact}"
        file = {"id": "file", "uploadUrl": f"{address}/storage/manifest/{artifact}", "uploadHeaders": []}
        return {"id": f"manifest-{artifact}", "file": file}

    def create_artifact_files(self, variables: dict, address: str) -> dict:
        nodes = [
            {
                "uploadUrl": f"{address}{_path(file['md5'])}",
                "uploadHeaders": [],
                "storagePath": None,
                "uploadMultipartUrls": None,
                "artifact": {"id": file["artifactID"]},
            }
            for file in variables["input"]["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def commit_artifact(self, variables: dict, _) -> dict:
        artifact = self.artifacts[variables["artifactID"]]
        artifact.state = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": artifact.id, "digest": artifact.digest}}}

    def artifact_by_id(self, variables: dict, _) -> dict:
        return {"artifact": self._artifact(self.artifacts[variables["id"]])}

    def fetch_artifact_manifest(self, variables: dict, address: str) -> dict:
        file = {"directUrl": f"{address}{self.artifacts[variables['id']].manifest}"}
        return {"artifact": {"currentManifest": {"file": file}}}

    def project_artifact_collection(self, variables: dict, _) -> dict:
        collection = {
            **self._collection("ArtifactPortfolio", variables["name"], variables["project"], variables["entity"]),
            "id": variables["name"],
            "description": None,
            "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": None,
            "type": {"name": "model"},
            "tags": {"edges": []},
        }
        return {"project": {"artifactType": {"artifactCollection": collection}}}

    def is_project_read_only(self, *_) -> dict:
        return {"project": {"readOnly": False}}

    def get_artifact_membership_file_urls(self, variables: dict, address: str) -> dict:
        link = self._find(variables["project"], variables["collection"], variables["alias"])
        contents = json.loads(self.files[link.artifact.manifest])["contents"]
        nodes = [
            {"__typename": "File", "name": name, "directUrl": f"{address}{_path(entry['digest'])}"}
            for name, entry in contents.items()
        ]
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        files = {"pageInfo": page, "edges": [{"node": node} for node in nodes]}
        collection = {"__typename": "ArtifactPortfolio", "artifactMembership": {"files": files}}
        return {"project": {"artifactCollection": collection}}

    def link_artifact(self, variables: dict, _) -> dict:
        given = variables["input"]
        project, collection = given["projectName"], given["artifactPortfolioName"]
        links, artifact = self.links.setdefault((project, collection), []), self.artifacts[given["artifactID"]]
        link = next((link for link in links if link.artifact is artifact), None)
        if link is None:
            link = Link(len(links), artifact)
            links.append(link)
        self._move({alias["alias"] for alias in given["aliases"]} | {"latest"}, link, links)
        membership = self._membership(link, project, collection)
        return {"result": {"versionIndex": link.index, "artifactMembership": membership}}

    def add_aliases(self, variables: dict, _) -> dict:
        for given in variables["input"]["aliases"]:
            links = self.links[given["projectName"], given["artifactCollectionName"]]
            link = next(link for link in links if link.artifact.id == variables["input"]["artifactID"])
            self._move({given["alias"]}, link, links)
        return {"result": {"success": True}}

    def update_artifact(self, variables: dict, _) -> dict:
        given = variables["input"]
        artifact = self.artifacts[given["artifactID"]]
        artifact.metadata = given["metadata"]
        return {"result": {"artifact": self._artifact(artifact)}}

    def _move(self, aliases: set[str], to: Link, links: list[Link]) -> None:
        """An alias is on one version at a time."""
        for link in links:
            link.aliases -= aliases
        to.aliases |= aliases

    def artifact_membership_by_name(self, variables: dict, _) -> dict:
        (collection, _, alias), project = variables["name"].partition(":"), variables["project"]
        link = self._find(project, collection, alias)
        found = self._membership(link, project, collection) if link else None
        return {"project": {"artifactCollectionMembership": found}}

    def _find(self, project: str, collection: str, alias: str) -> Link | None:
        links = self.links.get((project, collection), [])
        return next((link for link in links if alias in {f"v{link.index}", *link.aliases}), None)

    def _membership(self, link: Link, project: str, collection: str) -> dict:
        aliases = [{"__typename": "ArtifactAlias", "id": alias, "alias": alias} for alias in sorted(link.aliases)]
        return {
            "__typename": "ArtifactCollectionMembership",
            "id": f"membership-{collection}-{link.index}",
            "versionIndex": link.index,
            "createdAt": "2026-01-01T00:00:00Z",
            "aliases": aliases,
            "artifactCollection": self._collection("ArtifactPortfolio", collection, project, ORGANISATION_ENTITY),
            "artifact": self._artifact(link.artifact),
        }

    def _collection(self, kind: str, name: str, project: str, entity: str) -> dict:
        project = {"id": project, "internalId": "1", "name": project, "entity": {"name": entity}}
        return {"__typename": kind, "name": name, "project": project}

    def _artifact(self, artifact: Artifact) -> dict:
        return {
            "__typename": "Artifact",
            "id": artifact.id,
            "artifactSequence": self._collection("ArtifactSequence", artifact.collection, artifact.project, TEAM),
            "versionIndex": artifact.index,
            "artifactType": {"name": "model"},
            "description": artifact.description,
            "metadata": artifact.metadata,
            "ttlDurationSeconds": -1,
            "ttlIsInherited": True,
            "tags": [],
            "historyStep": None,
            "state": artifact.state,
            "size": "1",
            "digest": artifact.digest,
            "commitHash": "1",
            "fileCount": 3,
            "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": "2026-01-01T00:00:00Z",
            "aliases": [],
        }


def _path(md5: str) -> str:
    """Where a file is kept, from its digest in base64."""
    return f"/storage/files/{base64.b64decode(md5).hex()}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    @property
    def wandb(self) -> Wandb:
        return self.server.wandb

    def do_GET(self) -> None:
        content = self.wandb.files.get(self.path)
        self._reply(content or b"", 200 if content is not None else 404)

    def do_PUT(self) -> None:
        self.wandb.files[self.path] = self._body()
        self._reply(b"")

    def do_POST(self) -> None:
        body = self._body()
        if self.path != "/graphql":
            self.wandb.stream(self.path, body)
            self._reply(b"{}")
            return
        if self.headers.get("Authorization") != "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode():
            self._reply(b'{"errors":[{"message":"permission denied"}]}', 401)
            return
        request = json.loads(body)
        operation = re.search(r"(?:query|mutation)\s+(\w+)", request["query"])[1]
        address = f"http://{self.headers['Host']}"
        data = self.wandb.answer(operation, request.get("variables") or {}, address)
        self._reply(json.dumps({"data": data}).encode())

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _reply(self, content: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def running() -> Iterator[tuple[str, Wandb]]:
    """Runs the server on loopback; gives its address and what it knows."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.wandb, server.daemon_threads = Wandb(), True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.wandb
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
