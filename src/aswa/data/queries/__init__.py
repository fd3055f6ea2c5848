"""Logical queries on knowledge graphs: structures, exact answers, drawing, files.

    graph = read_graph(folder).with_reciprocals()
    queries = Sampler(graph, "test").draw("2p", 1000)   # .rows, .easy, .hard
    row = read_query("2p", ("Asia", ("contains", "has_capital")), entities, relations)

`algebra` and `nested` need no torch: a configuration is checked with them.
"""
