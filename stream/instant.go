package stream

import vw "voucherwatch"

// instant reads "2022-09-20T10:02:48.886+08:00": an RFC 3339 time as written with T and either Z or an
// offset, years 0000 to 9999, one to nine decimals of which three are kept. zone is in minutes east of
// UTC. There is no second 60.
func instant(t []byte) (at vw.Millis, zone int16, ok bool) {
	if len(t) < len("2006-01-02T15:04:05Z") || t[4] != '-' || t[7] != '-' || t[10] != 'T' || t[13] != ':' || t[16] != ':' {
		return 0, 0, false
	}
	century, b0 := two(t, 0)
	years, b1 := two(t, 2)
	month, b2 := two(t, 5)
	day, b3 := two(t, 8)
	hour, b4 := two(t, 11)
	minute, b5 := two(t, 14)
	second, b6 := two(t, 17)
	year := century*100 + years
	if b0 || b1 || b2 || b3 || b4 || b5 || b6 ||
		month-1 > 11 || day-1 >= daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, 0, false
	}
	milli, i := uint(0), 19
	if t[i] == '.' {
		i++
		for weight := uint(100); i < len(t) && t[i]-'0' <= 9; i++ {
			milli += weight * uint(t[i]-'0')
			weight /= 10
		}
		if i == 20 || i > 29 || i == len(t) {
			return 0, 0, false
		}
	}
	if t[i] != 'Z' {
		if len(t) != i+6 || t[i] != '+' && t[i] != '-' || t[i+3] != ':' {
			return 0, 0, false
		}
		h, b7 := two(t, i+1)
		m, b8 := two(t, i+4)
		if b7 || b8 || h > 23 || m > 59 {
			return 0, 0, false
		}
		zone = int16(h*60 + m)
		if t[i] == '-' {
			zone = -zone
		}
	} else if len(t) != i+1 {
		return 0, 0, false
	}
	at = vw.Millis(daysSince1970(int64(year), int64(month), int64(day)))*vw.Day +
		vw.Millis(hour*60+minute)*vw.Minute + vw.Millis(second*1000+milli) - vw.Millis(zone)*vw.Minute
	return at, zone, true
}

func two(t []byte, i int) (n uint, bad bool) {
	a, b := uint(t[i]-'0'), uint(t[i+1]-'0')
	return a*10 + b, a > 9 || b > 9
}

func daysIn(year, month uint) uint {
	switch {
	case month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	case month == 2:
		return 28
	}
	return 30 + (month+month>>3)&1
}

// daysSince1970 counts in the proleptic Gregorian calendar, in years that begin in March (Howard
// Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil).
func daysSince1970(year, month, day int64) int64 {
	if month <= 2 {
		year--
	}
	year += 400 // never negative
	dayOfYear := (153*((month+9)%12)+2)/5 + day - 1
	return (year/400-1)*146097 + year%400*365 + year%400/4 - year%400/100 + dayOfYear - 719468
}
