"""List models/ with the Debian program `tree`, and the classes of its pickle."""

import json
import pickle
import subprocess


def describe(msg):
    listed = subprocess.run(
        ["tree", "-J", "models"], check=True, capture_output=True, text=True
    ).stdout
    names = sorted(entry["name"] for entry in json.loads(listed)[0]["contents"])
    with open(f"models/{msg['payload']['name']}.pkl", "rb") as file:
        return {"files": names, "classes": pickle.load(file)["answer"].classes_.tolist()}
