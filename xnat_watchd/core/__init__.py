"""The pure core: rules and values. Nothing here touches a clock, a disk, the network or a log."""
