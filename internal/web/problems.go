package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// ProblemType explains one type of problem.
type ProblemType struct {
	Type   string `json:"type" example:"/problems/out-of-stock"`
	Title  string `json:"title" example:"Out of stock"`
	Status int    `json:"status" example:"409"` // the usual one
	Means  string `json:"means" example:"Units cannot be had at once."`
}

func problemType(kind fault.Kind) ProblemType {
	a := kinds[kind]
	return ProblemType{Type: "/problems/" + string(kind), Title: a.title, Status: a.status, Means: a.means}
}

// listProblems names every type of problem.
//
//	@Summary	Every type of problem that the API answers
//	@Tags		documents
//	@Produce	json
//	@Success	200	{object}	List[ProblemType]
//	@Router		/problems [get]
func listProblems(c echo.Context) error {
	all := make([]ProblemType, 0, len(kinds))
	for kind := range kinds {
		all = append(all, problemType(kind))
	}
	slices.SortFunc(all, func(a, b ProblemType) int { return strings.Compare(a.Type, b.Type) })
	return JSON(c, http.StatusOK, List[ProblemType]{Items: all})
}

// explainProblem is what a problem's type leads to.
//
//	@Summary	What a type of problem means
//	@Tags		documents
//	@Produce	json
//	@Param		kind	path		string	true	"last part of the type"	example(out-of-stock)
//	@Success	200		{object}	ProblemType
//	@Failure	404		{object}	Problem
//	@Router		/problems/{kind} [get]
func explainProblem(c echo.Context) error {
	kind := fault.Kind(c.Param("kind"))
	if _, known := kinds[kind]; !known {
		return fault.New(fault.NotFound, "There is no such type of problem.")
	}
	return JSON(c, http.StatusOK, problemType(kind))
}
