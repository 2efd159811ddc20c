"""Holds the objects of prometheus-operator in a YAML file against models generated from the operator's schemas.

A field that no schema has would be dropped by the API server without a word, so it fails here.
"""

import sys

import yaml
from cloudcoil.models.prometheus_operator import v1

API = "monitoring.coreos.com/v1"


def problems(document):
    model = getattr(v1, document["kind"])
    try:
        read = model.model_validate(document)
    except ValueError as error:
        return [str(error)]
    return unknown(document, read.model_dump(by_alias=True, exclude_unset=True, mode="json"))


def unknown(given, kept, path=""):
    """The fields of a document that its model did not keep."""
    if isinstance(given, dict) and isinstance(kept, dict):
        gone = [f"{path}.{key}: no such field" for key in given if key not in kept]
        return gone + [it for key in given if key in kept for it in unknown(given[key], kept[key], f"{path}.{key}")]
    if isinstance(given, list) and isinstance(kept, list):
        return [it for at, (one, other) in enumerate(zip(given, kept)) for it in unknown(one, other, f"{path}[{at}]")]
    return []


with open(sys.argv[1], encoding="utf-8") as file:
    documents = [document for document in yaml.safe_load_all(file) if document and document["apiVersion"] == API]
found = {f"{it['kind']}/{it['metadata']['name']}": problems(it) for it in documents}
for name, wrong in found.items():
    print(name, "ok" if not wrong else "; ".join(wrong))
sys.exit(len(found) < 4 or any(found.values()))
