package ahead

import (
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/settings"
)

// Rules are a group's rules as the settings have them.
func Rules(c settings.Class, kind cluster.Type) load.Rules {
	return load.Rules{Type: kind, Light: c.Light, Moderate: c.Moderate, LightStreak: c.LightStreak,
		ModerateStreak: c.ModerateStreak, Accesses: c.PS2Accesses, AccessStreak: c.PS2Streak,
		Look: load.Look{On: c.LookAhead, Failure: c.FailureLoad, Urgent: c.UrgentLoad, Lighter: c.LighterAfter.D(),
			Heavier: c.HeavierAfter.D(), Longest: c.LighterLongest.D()}}
}
