# The exporter alone: nothing in the image but one static binary. `just dist` builds it into dist/ first;
# Dockerfile.source builds the same image from nothing but the sources.
FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mini-node-exporter" \
      org.opencontainers.image.description="A lean Prometheus exporter for a node's hostname, uptime and load" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY dist/mini-node-exporter /mini-node-exporter
# A number, for Kubernetes' runAsNonRoot cannot look a name up, and nobody's on most systems.
USER 65534:65534
EXPOSE 23333
ENTRYPOINT ["/mini-node-exporter"]
