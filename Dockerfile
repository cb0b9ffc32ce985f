# syntax=docker/dockerfile:1
# One image with every role: `docker run IMAGE worker`, `producer`, `flairstream`. Only the worker and the operator's tool
# need ONNX Runtime and the C++ library.

FROM debian:12-slim AS runtime
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3-pip
COPY model/onnx/fetch.sh /src/
RUN sh /src/fetch.sh /runtime

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=1 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/ ./cmd/worker ./cmd/flairstream && \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/ ./cmd/producer

FROM debian:12-slim
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libstdc++6 && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --system --uid 65532 --no-create-home --shell /usr/sbin/nologin flairstream && \
    install -d -o 65532 -g 65532 /var/cache/flairstream
COPY --from=build /out/ /usr/local/bin/
COPY --from=runtime /runtime/ /usr/local/lib/
USER 65532
ENV FLAIRSTREAM_LISTEN=:9090 FLAIRSTREAM_MODEL_CACHE=/var/cache/flairstream
EXPOSE 9090
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["worker", "-healthcheck"]
CMD ["worker"]
