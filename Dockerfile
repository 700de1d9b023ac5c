FROM golang:1.26-alpine AS builder
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" \
    -o /out/ ./cmd/worker ./cmd/queuectl

FROM alpine:3.22 AS certificates

# Both programs are static, and need nothing but the authorities that they may trust.
FROM scratch
LABEL org.opencontainers.image.title="fulfillment-worker" \
      org.opencontainers.image.description="Takes orders from a Redis queue and fulfils each of them once in PostgreSQL" \
      org.opencontainers.image.licenses="MIT"
COPY --from=certificates /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=builder /out/ /usr/local/bin/
# A number, so that an orchestrator can see that it is not root.
USER 65532:65532
EXPOSE 8080
# The start period covers STARTUP_TIMEOUT's default; the first success ends it.
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
    CMD ["/usr/local/bin/worker", "-healthcheck"]
# The exec form makes the worker PID 1, which is who gets SIGTERM.
ENTRYPOINT ["/usr/local/bin/worker"]
