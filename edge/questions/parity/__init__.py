"""Do the exported files give the answers of the model?"""
