"""How ZooKeeper can be hurt where that takes knowledge of ZooKeeper: its disk, its clock."""
