# Ollama as a user of its own: the published image runs as root. The card is only in this container; no image of ours needs CUDA.
ARG OLLAMA_BASE_IMAGE=ollama/ollama:0.6.2
FROM ${OLLAMA_BASE_IMAGE}
RUN install -d -o 10001 -g 10001 -m 0750 /models
ENV OLLAMA_HOST=0.0.0.0:11434 OLLAMA_MODELS=/models HOME=/tmp
USER 10001:10001
