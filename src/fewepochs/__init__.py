"""fewepochs: how many epochs - and seconds, and joules - does a training recipe need to reach a target accuracy?"""
