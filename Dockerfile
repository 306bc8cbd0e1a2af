# dbmesh with exactly the versions of uv.lock; the configuration is mounted at /etc/dbmesh.
FROM python:3.13-slim AS build
RUN pip install --no-cache-dir uv
WORKDIR /opt/dbmesh
ENV UV_PROJECT_ENVIRONMENT=/opt/dbmesh/.venv UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy
COPY pyproject.toml uv.lock README.md ./
# The dependencies first: they change seldom, and this layer is kept while the code changes.
RUN uv sync --locked --no-default-groups --no-install-project
COPY dbmesh ./dbmesh
RUN uv sync --locked --no-default-groups --no-editable

FROM python:3.13-slim
# What the store said last is kept beside the configuration.
RUN useradd --system --no-create-home dbmesh && install -d -o dbmesh /etc/dbmesh
COPY --from=build /opt/dbmesh/.venv /opt/dbmesh/.venv
ENV PATH=/opt/dbmesh/.venv/bin:$PATH
USER dbmesh
EXPOSE 3307
ENTRYPOINT ["dbmesh"]
CMD ["serve", "--config", "/etc/dbmesh", "--host", "0.0.0.0", "--port", "3307"]
