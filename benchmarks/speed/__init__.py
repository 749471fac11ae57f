"""Speed, side by side: the same training step by fewepochs, by Keras on its three backends and by a plain PyTorch loop.

    python -m benchmarks.speed --data DIR --to results/speed-cpu.json

`turns` says who is measured and at what, `pipes` speaks with the processes, `measuring` lets them take turns,
`arithmetic` and `figures` make figures of the seconds, `tables` tables of the figures. In a process of its own `worker`
answers, with one of `ours`, `plain`, `keras_fit` and `product`.
"""
