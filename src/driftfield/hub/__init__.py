"""Runs on a model hub: hub:REPO[@REVISION] -> a folder whose every file is the one that was pushed.

    RUN --manifest.parts_of--> files and hashes --service.push--> REPO
    hub:REPO@REVISION --service.fetch--> cached folder --manifest.verify--> a run

reference   how such a run is named
manifest    which files a run on a hub consists of, and their hashes
service     what is asked of the service, through huggingface_hub
"""
