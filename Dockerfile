# nodegraph in a container: `docker build --target cpu -t nodegraph .` or `--target cuda`.
#
#   docker run -p 127.0.0.1:8188:8188 -e NODEGRAPH_TOKEN=… -v nodegraph:/data -v /my/models:/models:ro nodegraph
#
# What is kept (queue, workflows, results, pictures) lies below /data; models are read from /models.

FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /wheels

FROM python:3.12-slim AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 XDG_CACHE_HOME=/data/cache XDG_DATA_HOME=/data/share
RUN useradd --create-home --uid 1000 nodegraph && mkdir -p /data/output /data/input /models \
    && chown -R nodegraph:nodegraph /data
COPY constraints.txt /tmp/constraints.txt
COPY --from=build /wheels /wheels

FROM base AS cuda
# The index has builds for CUDA; the machine needs NVIDIA's container toolkit (`docker run --gpus all`).
RUN pip install -c /tmp/constraints.txt torch && pip install -c /tmp/constraints.txt /wheels/*.whl
USER nodegraph
WORKDIR /data
VOLUME /data
EXPOSE 8188
HEALTHCHECK --interval=30s --timeout=5s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8188/healthz', timeout=4)"]
ENTRYPOINT ["nodegraph", "serve", "--host", "0.0.0.0", "--model-dir", "/models"]

FROM base AS cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install -c /tmp/constraints.txt --index-url "$TORCH_INDEX" torch && pip install -c /tmp/constraints.txt /wheels/*.whl
USER nodegraph
WORKDIR /data
VOLUME /data
EXPOSE 8188
HEALTHCHECK --interval=30s --timeout=5s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8188/healthz', timeout=4)"]
ENTRYPOINT ["nodegraph", "serve", "--host", "0.0.0.0", "--model-dir", "/models"]
